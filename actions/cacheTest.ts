import { Action, cache, type ParamsFrom } from "../src";

/** How long the saved value lives, in ms. */
const EXPIRE_MS = 5000;
const MIN_LENGTH = 3;

function toText(value: string | number | boolean): string {
  return String(value);
}

function checkLength(value: string) {
  if (value.length < MIN_LENGTH)
    return `inputs should be at least ${MIN_LENGTH} letters long`;
  return true;
}

export class CacheTest extends Action {
  override inputs = {
    key: {
      required: true as const,
      formatter: toText,
      validator: checkLength,
    },
    value: {
      required: true as const,
      formatter: toText,
      validator: checkLength,
    },
  };

  constructor() {
    super();
    this.name = "cacheTest";
    this.description = "Saves a value in the cache, reads it and removes it";
    this.outputExample = {
      cacheTestResults: {
        saveResp: true,
        sizeResp: 1,
        loadResp: {
          key: "cacheTest_key",
          value: "value",
          createdAt: 1420953269716,
        },
        deleteResp: true,
      },
    };
  }

  async run({ params }: { params: ParamsFrom<CacheTest> }) {
    const key = `cacheTest_${params.key}`;
    const saveResp = await cache.save(key, params.value, EXPIRE_MS);
    const sizeResp = await cache.size();
    const loadResp = await cache.load(key);
    const deleteResp = await cache.destroy(key);
    return { cacheTestResults: { saveResp, sizeResp, loadResp, deleteResp } };
  }
}
