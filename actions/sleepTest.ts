import { Action, type ParamsFrom } from "../src";

export class SleepTest extends Action {
  override inputs = {
    sleepDuration: {
      required: true as const,
      formatter: (value: string) => parseInt(value, 10),
      default: () => 1000,
    },
  };

  constructor() {
    super();
    this.name = "sleepTest";
    this.description = "Answers after a while";
    this.outputExample = {
      sleepStarted: 1420953571322,
      sleepEnded: 1420953572327,
      sleepDelta: 1005,
      sleepDuration: 1000,
    };
  }

  async run({ params }: { params: ParamsFrom<SleepTest> }) {
    const { sleepDuration } = params;
    const sleepStarted = Date.now();
    await new Promise((resolve) => setTimeout(resolve, sleepDuration));
    const sleepEnded = Date.now();
    return {
      sleepStarted,
      sleepEnded,
      sleepDelta: sleepEnded - sleepStarted,
      sleepDuration,
    };
  }
}
