exports.DEFAULT = {
  routes: () => ({
    get: [{ path: "/plugin/greet/:name", action: "pluginGreet" }],
  }),
};
