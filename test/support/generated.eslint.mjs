/** What generated code is checked by: the rules of this repository, with the compiler settings of the project. */
import eslint from "@eslint/js";
import globals from "globals";
import tseslint from "typescript-eslint";
import own from "../../eslint.config.mjs";

const { rules } = own.findLast((block) => block.rules?.eqeqeq);

export default tseslint.config(
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    rules,
    languageOptions: {
      globals: { ...globals.node, ...globals.jest },
      parserOptions: {
        projectService: {
          allowDefaultProject: ["__tests__/*/*.ts"],
          defaultProject: "tsconfig.json",
        },
        tsconfigRootDir: process.cwd(),
      },
    },
  },
);
