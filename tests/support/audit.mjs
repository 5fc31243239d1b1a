// Runs every server audit of the npm package graphql-http against a URL and prints the results as JSON.
// Usage: node audit.mjs URL, in a folder whose node_modules has graphql-http.

import { serverAudits } from "graphql-http";

const results = [];
for (const audit of serverAudits({ url: process.argv[2] })) {
  const { id, name, status, reason } = await audit.fn();
  results.push({ id, name, status, reason });
}
console.log(JSON.stringify(results));
