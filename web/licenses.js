// Adds to the licences of the bundled packages those of the packages that Swagger UI is itself a bundle of.

import { appendFileSync, readFileSync } from "node:fs";

const read = (name) => readFileSync(new URL(`node_modules/swagger-ui-dist/${name}`, import.meta.url), "utf8");
const [notice, packages] = [read("NOTICE"), read("swagger-ui-es-bundle.js.LICENSE.txt")];
appendFileSync(
  new URL("dist/licenses.txt", import.meta.url),
  `\n## Notice of swagger-ui-dist\n\n${notice}\n## Packages within swagger-ui-dist\n\n${packages}`,
);
