import { Action, type ParamsFrom } from "../src";

export class ValidationTest extends Action {
  override inputs = {
    string: {
      required: true as const,
      validator: (value: unknown) => typeof value === "string",
    },
    number: {
      required: false as const,
      formatter: (value: string, name: string) => {
        const number = parseInt(value, 10);
        if (number === 123)
          throw new Error(`Failed formatting ${name} correctly!`);
        return number;
      },
      // refuses every number: it shows how an error of a validator reaches the client
      validator: (value: number, name: string) => {
        if (typeof value === "number")
          throw new Error(`Param ${name} is not a valid number!`);
      },
    },
  };

  constructor() {
    super();
    this.name = "validationTest";
    this.description = "Shows how inputs are formatted and validated";
    this.outputExample = { string: "imAString!" };
  }

  async run({ params }: { params: ParamsFrom<ValidationTest> }) {
    return { string: params.string, number: params.number };
  }
}
