const { Action, config } = require("actionhero");

exports.PluginGreet = class PluginGreet extends Action {
  constructor() {
    super();
    this.name = "pluginGreet";
    this.description = "greets with the word of the settings";
    this.inputs = {
      name: {
        required: true,
        validator: (name) => typeof name === "string" || "name must be a text",
      },
    };
  }

  async run({ params }) {
    return { greeting: `${config.pluginGreet.word} ${params.name}` };
  }
};
