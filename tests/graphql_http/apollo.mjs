// Sends documents as persisted queries through Apollo Client and prints what was answered and sent, as JSON.
// Usage: node apollo.mjs URL GET|POST DOCUMENTS, in a folder whose node_modules has @apollo/client 3 or 4;
// DOCUMENTS is a JSON list of {query, variables}, which are sent one after the other.

import { createHash } from "node:crypto";

const [url, method, documents] = process.argv.slice(2);
const core = await import("@apollo/client/core/index.js").catch(() => import("@apollo/client"));
const persisted = await import("@apollo/client/link/persisted-queries/index.js").catch(
  () => import("@apollo/client/link/persisted-queries"),
);
const { ApolloClient, HttpLink, InMemoryCache, gql } = core;

const sent = [];
async function recordedFetch(address, options) {
  const body = options.method === "GET" ? Object.fromEntries(new URL(address).searchParams) : JSON.parse(options.body);
  const answer = await fetch(address, options);
  sent.push({ method: options.method, hasQuery: "query" in body, hasHash: "extensions" in body, status: answer.status });
  return answer;
}

const link = persisted.createPersistedQueryLink({
  sha256: (text) => createHash("sha256").update(text).digest("hex"),
  useGETForHashedQueries: method === "GET",
});
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: link.concat(new HttpLink({ uri: url, fetch: recordedFetch })),
  defaultOptions: { query: { fetchPolicy: "no-cache" }, mutate: { fetchPolicy: "no-cache" } },
});

const data = [];
for (const { query, variables } of JSON.parse(documents)) {
  const document = gql(query);
  const isMutation = document.definitions.some((definition) => definition.operation === "mutation");
  const answer = isMutation
    ? await client.mutate({ mutation: document, variables })
    : await client.query({ query: document, variables });
  data.push(answer.data);
}
console.log(JSON.stringify({ data, sent }));
process.exit(0);
