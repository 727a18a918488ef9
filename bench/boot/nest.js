/** NestJS on Express with one action, as its own starter has it; the decorators are called as TypeScript would. */
require("reflect-metadata");
const { Controller, Get, Module, Query } = require("@nestjs/common");
const { NestFactory } = require("@nestjs/core");
const { report } = require("../support/report");

class NumberController {
  number(max) {
    return { max: Number(max), half: Number(max) / 2 };
  }
}
const { prototype } = NumberController;
Query("max")(prototype, "number", 0);
Get("number")(
  prototype,
  "number",
  Object.getOwnPropertyDescriptor(prototype, "number"),
);
Controller("api")(NumberController);

class AppModule {}
Module({ controllers: [NumberController] })(AppModule);

NestFactory.create(AppModule, { logger: false }).then(async (app) => {
  await app.listen(0, "127.0.0.1");
  report(app.getHttpServer().address().port);
});
