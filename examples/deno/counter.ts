// A counter: opens the session by the Cookie header, saves the change, and sends the headers that the service returns.
const SERVICE = `http://${Deno.env.get("CLOAKROOM_ADDRESS") ?? "127.0.0.1:50051"}/cloakroom.v1.SessionService`;
const POST = { method: "POST", headers: { "content-type": "application/json", "connect-timeout-ms": "2000" } };
const TEMPORARY = [0, 429, 503, 504]; // 0: no answer.
Deno.env.set("NO_PROXY", new URL(SERVICE).hostname); // Calls carry tokens.

async function post(method: string, body: string) {
  const response = await fetch(`${SERVICE}/${method}`, { ...POST, body, signal: AbortSignal.timeout(2500) });
  return { status: response.status, text: await response.text() };
}

async function call(method: string, request: object) {
  const attempt = () => post(method, JSON.stringify(request)).catch((error) => ({ status: 0, text: String(error) }));
  let answer = await attempt();
  if (TEMPORARY.includes(answer.status)) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    answer = await attempt(); // With the same requestId, so the save is made once.
  }
  if (answer.status === 200) return JSON.parse(answer.text);
  console.error(answer.text);
  throw new Response(null, { status: TEMPORARY.includes(answer.status) ? 503 : answer.status === 400 ? 400 : 500 });
}

async function respond(request: Request) {
  const opened = await call("OpenSession", { cookieHeader: request.headers.get("cookie") ?? "" });
  let [status, count, list] = [200, opened.session.entries?.count?.json, opened.readHeaders];
  if (request.method === "POST") {
    const { session: { token }, cookieOutdated } = opened;
    const save = { token, cookieOutdated, accessed: true, changes: { increment: { count: 1 } } };
    const saved = await call("SaveSession", { ...save, requestId: crypto.randomUUID() });
    [status, count, list] = [saved.outcome === "OUTCOME_GONE" ? 409 : 200, saved.counters?.count, saved.headers];
  }
  const headers = new Headers({ "content-type": "text/html" });
  for (const { name, value } of list ?? []) headers.append(name, value);
  const html = `<output id="count">${count ?? 0}</output> <form method="post"><button>Count</button></form>`;
  return new Response(html, { status, headers });
}

const options = { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 8006) };
Deno.serve(options, (request) => respond(request).catch((failure) => failure));
