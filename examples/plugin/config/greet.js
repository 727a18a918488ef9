// what a project's own config/pluginGreet goes before
exports.DEFAULT = {
  pluginGreet: () => ({ word: "hello" }),
};
