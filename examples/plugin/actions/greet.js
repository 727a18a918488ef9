const { Action, config } = require("actionhero");

exports.PluginGreet = class PluginGreet extends Action {
  constructor() {
    super();
    this.name = "pluginGreet";
    this.description = "greets with the word of the settings";
    this.inputs = { name: { required: true } };
  }

  async run({ params }) {
    return { greeting: `${config.pluginGreet.word} ${params.name}` };
  }
};
