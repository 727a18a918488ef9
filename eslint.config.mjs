import eslint from "@eslint/js";
import tseslint from "typescript-eslint";

/** The code that ships; tests may be looser. */
const SHIPPED = [
  "src/**/*.ts",
  "bin/**/*.ts",
  "config/*.ts",
  "actions/*.ts",
  "tasks/*.ts",
  "initializers/*.ts",
];

/** Signatures that version 29, its hooks, or a library fixed. */
const FIXED_SIGNATURES = [
  "src/legacy/apiFacade.ts",
  "src/log/exceptions.ts",
  "src/resque/plugin.ts",
  "src/resque/queue.ts",
  "src/route/routeModule.ts",
  "src/server/socket/socketServer.ts",
  "src/server/web/multipart.ts",
  "src/server/web/webServer.ts",
  "src/server/websocket/webSocketServer.ts",
  "src/staticFile/staticFile.ts",
  "src/task/enqueue.ts",
  "src/testing/testServer.ts",
];

// What still breaks a rule below: take files out of this list, and add none.
const TOO_MANY_PARAMS = ["src/resque/store/memoryStore.ts"];
/** Projects have copies of these, in which the types of version 29 stay. */
const UNSAFE = [
  // its action is any: in a project, names of actions have a type
  "tasks/runAction.ts",
  "config/errors.ts",
  "config/redis.ts",
  "config/tasks.ts",
];

export default tseslint.config(
  {
    ignores: [
      "dist/",
      "coverage/",
      "./tmp/",
      "./log/",
      "public/javascript/",
      "test/fixtures/",
      "test/interop/",
      "**/node_modules/",
      "docs/api/",
    ],
  },
  eslint.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        // the first one that has a file is taken; each of them is a program, with the sources in it
        project: ["./tsconfig.json", "./test/tsconfig.lint.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/consistent-type-imports": [
        "error",
        { disallowTypeAnnotations: false },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-require-imports": "off",
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_" },
      ],
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-duplicate-imports": "error",
    },
  },
  {
    files: SHIPPED,
    ignores: UNSAFE,
    rules: {
      "@typescript-eslint/no-unsafe-assignment": "error",
      "@typescript-eslint/no-unsafe-member-access": "error",
      "@typescript-eslint/no-unsafe-argument": "error",
      "@typescript-eslint/no-unsafe-call": "error",
      "@typescript-eslint/no-unsafe-return": "error",
    },
  },
  {
    files: SHIPPED,
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector:
            "TSAsExpression > TSAsExpression[typeAnnotation.type='TSUnknownKeyword']",
          message: "Mend the types: `as unknown as` hides that they differ.",
        },
      ],
    },
  },
  {
    files: SHIPPED,
    rules: {
      complexity: ["error", 12],
      "@typescript-eslint/no-shadow": "error",
    },
  },
  {
    files: SHIPPED,
    ignores: [...FIXED_SIGNATURES, ...TOO_MANY_PARAMS],
    rules: { "max-params": ["error", 4] },
  },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: {
      globals: {
        require: "readonly",
        module: "writable",
        exports: "writable",
        process: "readonly",
        console: "readonly",
        Buffer: "readonly",
        setTimeout: "readonly",
        clearTimeout: "readonly",
        setInterval: "readonly",
        clearInterval: "readonly",
        setImmediate: "readonly",
        performance: "readonly",
        __dirname: "readonly",
        __filename: "readonly",
        fetch: "readonly",
        URL: "readonly",
        URLSearchParams: "readonly",
        location: "readonly",
        window: "readonly",
        AbortSignal: "readonly",
        document: "readonly",
        Blob: "readonly",
        File: "readonly",
        FormData: "readonly",
      },
    },
    rules: { "no-unused-vars": "off" },
  },
);
