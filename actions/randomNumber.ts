import { Action } from "../src";

export class RandomNumber extends Action {
  constructor() {
    super();
    this.name = "randomNumber";
    this.description = "Draws a number between 0 and 1";
    this.outputExample = {
      randomNumber: 0.123,
      stringRandomNumber: "Your random number is 0.123",
    };
  }

  async run() {
    const randomNumber = Math.random();
    return {
      randomNumber,
      stringRandomNumber: `Your random number is ${randomNumber}`,
    };
  }
}
