// Creates a product and waits for its receipt through one of the client libraries; prints the events as JSON.
// Usage: node stream_clients.mjs PORT graphql-ws|apollo|urql|graphql-sse KEY

import WebSocket from "ws";

const [port, library, key] = process.argv.slice(2);
const url = `http://127.0.0.1:${port}/graphql`;
const authorization = { Authorization: `Bearer ${key}` };
const CREATE = 'mutation { createProduct(title: "Lamp", price: 1) { write { id } } }';
const SETTLED = "subscription Settled($id: ID!) { writeSettled(id: $id) { id status } }";

async function create() {
  const headers = { "Content-Type": "application/json", ...authorization };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query: CREATE }) });
  return (await answer.json()).data.createProduct.write.id;
}

async function webSocketClient() {
  const { createClient } = await import("graphql-ws");
  return createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket,
    connectionParams: authorization,
    keepAlive: 200, // pings of the protocol
    retryAttempts: 0,
  });
}

/** Collects the events of a subscription, each library in its own way. */
const libraries = {
  async "graphql-ws"(variables) {
    const client = await webSocketClient();
    const events = [];
    for await (const result of client.iterate({ query: SETTLED, variables })) events.push(result.data);
    await client.dispose();
    return events;
  },

  async "graphql-sse"(variables) {
    const { createClient } = await import("graphql-sse");
    const client = createClient({ url, headers: authorization, retryAttempts: 0 });
    const events = [];
    for await (const result of client.iterate({ query: SETTLED, variables })) events.push(result.data);
    return events;
  },

  async apollo(variables) {
    const { ApolloClient, InMemoryCache, gql } = await import("@apollo/client");
    const { GraphQLWsLink } = await import("@apollo/client/link/subscriptions");
    const socket = await webSocketClient();
    const client = new ApolloClient({ cache: new InMemoryCache(), link: new GraphQLWsLink(socket) });
    const events = [];
    await new Promise((resolve, reject) => {
      const next = (result) => (result.error ? reject(result.error) : events.push(result.data));
      client.subscribe({ query: gql(SETTLED), variables }).subscribe({ next, error: reject, complete: resolve });
    });
    client.stop();
    await socket.dispose();
    return events;
  },

  async urql(variables) {
    const { Client, subscriptionExchange } = await import("@urql/core");
    const socket = await webSocketClient();
    const forwardSubscription = (request) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink) }),
    });
    const client = new Client({ url, exchanges: [subscriptionExchange({ forwardSubscription })] });
    const { pipe, subscribe, onEnd } = await import("wonka");
    const events = [];
    await new Promise((resolve, reject) => {
      const told = (result) => (result.error ? reject(result.error) : events.push(result.data));
      pipe(client.subscription(SETTLED, variables), onEnd(resolve), subscribe(told));
    });
    await socket.dispose();
    return events;
  },
};

const id = await create();
const events = await libraries[library]({ id });
console.log(JSON.stringify({ id, events }));
