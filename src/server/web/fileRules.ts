/**
 * The files that a request may upload: those that its action declares, and others if `config.web.uploads` allows it.
 */
import { api } from "../../api";
import type { HttpError } from "../../errors";
import {
  isTypeAllowed,
  tooLargeFile,
  tooManyFiles,
  wrongType,
  type FileRule,
} from "../../input/file";
import { tableOf } from "../../input/schemaPlan";
import { BodyError } from "./bodyError";
import type { WebSettings } from "../../config/settings";

export class FileRules {
  private readonly counts = new Map<string, number>();

  private constructor(
    private readonly declared: ReadonlyMap<string, FileRule>,
    private readonly takesOthers: boolean,
  ) {}

  /**
   * @param action its name; undefined while the body may still name it. Every version counts: the body may name that,
   * too, and the inputs are checked again when the action is known.
   */
  static for(
    action: string | undefined,
    { uploads }: Pick<WebSettings, "uploads">,
  ): FileRules {
    const declared = new Map<string, FileRule>();
    const { actions } = api.actions;
    const versions =
      action !== undefined && Object.hasOwn(actions, action)
        ? Object.values(actions[action]!)
        : [];
    for (const { inputs } of versions) {
      for (const [name, { file }] of Object.entries(tableOf(inputs))) {
        if (!file) continue;
        const other = declared.get(name);
        declared.set(name, other ? widest(file, other) : file);
      }
    }
    return new FileRules(declared, uploads !== "declared");
  }

  /** The rule of a field, if its action declares one. */
  ruleOf(field: string): FileRule | undefined {
    return this.declared.get(field);
  }

  /** Accept another file of a field. @throws BodyError 413 or 415 */
  check(field: string, mediaType: string | null): void {
    const rule = this.declared.get(field);
    if (!rule) {
      if (this.takesOthers) return;
      const name = JSON.stringify(field.slice(0, 100));
      throw BodyError.unsupported(`this action takes no file ${name}`);
    }
    if (!isTypeAllowed(rule.types, mediaType))
      throw asBodyError(wrongType(field, rule.types!));
    const count = (this.counts.get(field) ?? 0) + 1;
    if (count > rule.maxFiles)
      throw asBodyError(tooManyFiles(field, rule.maxFiles));
    this.counts.set(field, count);
  }

  /** The error of a file of this size, if its action declares a lower limit. */
  tooLarge(field: string, bytes: number): BodyError | undefined {
    const rule = this.declared.get(field);
    return rule && bytes > rule.maxSize
      ? asBodyError(tooLargeFile(field, rule.maxSize))
      : undefined;
  }
}

/** The union of the rules of two versions of an action. */
function widest(a: FileRule, b: FileRule): FileRule {
  return {
    maxSize: Math.max(a.maxSize, b.maxSize),
    maxFiles: Math.max(a.maxFiles, b.maxFiles),
    types: a.types && b.types ? [...a.types, ...b.types] : undefined,
    isList: a.isList,
  };
}

function asBodyError({ status, message }: HttpError): BodyError {
  return new BodyError(status, message);
}
