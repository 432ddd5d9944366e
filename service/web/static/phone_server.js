// The phone's side of /v1: enrolment, tokens proved by the key, and the sending of the queue.

import { idOf } from "./phone_store.js";

// Refresh a little before the quarter of an hour is over, counted on this phone's own clock: a wrong clock does no harm.
const ACCESS_MILLISECONDS = 14 * 60 * 1000;
// The server takes 100 items and 1 MiB; stay well below both.
const BATCH_ITEMS = 50;
const BATCH_BYTES = 512 * 1024;
const PATIENCE_MILLISECONDS = 20 * 1000;
const AT_ONCE_MILLISECONDS = 500;
// As many answers as the list of what was sent goes back.
const REMEMBERED = 20;

// The clinic did not answer: `atOnce` where the phone itself has no way out, which costs no waiting and no server
// anything; `status` of something in between that answered in its place.
export class Unreachable extends Error {
  constructor(why) {
    super();
    Object.assign(this, why);
  }
}

// The server answered, and the answer is no: `status`, and the problem it gave.
export class Refused extends Error {
  constructor(status, problem, retryAfterSeconds) {
    super(problem.detail || problem.title || "The server refused this.");
    this.status = status;
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// The refresh token is no longer taken: the clinic, the client or 90 days of silence ended this device.
export class Disconnected extends Error {
  constructor(deviceId) {
    super();
    this.deviceId = deviceId;
  }
}

// Those under way; whatever is sent again is stored once.
const patiences = new Set();
export const abandonRequests = () => patiences.forEach((patience) => patience.abort());

// `holds`: the texts without which an answer is not the clinic's, whatever its status.
export async function ask(method, path, { body, token, holds = [] } = {}) {
  const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MILLISECONDS);
  patiences.add(patience);
  const askedAt = performance.now();
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal: patience.signal,
    });
    answer = await response.text();
  } catch {
    // No network, a reply cut short, or none in time: whether it arrived is not known, so it will be sent again.
    throw new Unreachable({ atOnce: performance.now() - askedAt < AT_ONCE_MILLISECONDS });
  } finally {
    clearTimeout(timer);
    patiences.delete(patience);
  }
  let content = {};
  try {
    content = response.status === 204 ? {} : JSON.parse(answer);
  } catch {
    content = null;
  }
  if (!response.ok) {
    // Of something in between, which knows nothing of this phone and its answers: no end, and no refusal.
    if (!content || !String(content.type).startsWith("/problems/")) throw new Unreachable({ status: response.status });
    throw new Refused(response.status, content, Number(response.headers.get("Retry-After")) || 0);
  }
  // A page of some gateway instead of an answer of ours.
  if (!content) throw new Unreachable();
  if (!holds.every((name) => typeof content[name] === "string")) throw new Unreachable();
  return content;
}

async function refresh(store, device) {
  let nonce;
  try {
    const body = { refresh_token: device.refreshToken };
    ({ nonce } = await ask("POST", "/v1/device/nonce", { body, holds: ["nonce"] }));
  } catch (error) {
    throw error instanceof Refused && error.status === 401 ? new Disconnected(device.deviceId) : error;
  }
  const text = new TextEncoder().encode(`neap-token-v1\n${device.deviceId}\n${nonce}`);
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, device.key, text);
  const access = await ask("POST", "/v1/device/token", {
    body: { refresh_token: device.refreshToken, nonce, signature: base64url(signature) },
    holds: ["access_token"],
  });
  const fresh = { ...device, accessToken: access.access_token, obtainedAt: Date.now() };
  // On a full phone it holds for this request.
  await store.whileStill(device.deviceId, (kept) => kept.put(fresh, "device")).catch(() => {});
  return fresh;
}

// A request as this page's device. Where another tab connected this phone anew, perhaps for somebody else, nothing more
// is asked for this page, and of what was asked nothing is told.
export async function askAsDevice(store, method, path, body) {
  const device = await store.kept("device");
  if (idOf(device) !== store.deviceId) throw new Unreachable();
  if (!device) throw new Disconnected(null);
  const answer = await askAs(device, store, method, path, body);
  if (method === "GET" && (await store.isReplaced())) throw new Unreachable();
  return answer;
}

// A request as that device; a token that ran out is renewed by the key.
export async function askAs(device, store, method, path, body) {
  const age = Date.now() - device.obtainedAt;
  if (age < 0 || age > ACCESS_MILLISECONDS) device = await refresh(store, device);
  try {
    return await ask(method, path, { body, token: device.accessToken });
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401) throw error;
  }
  device = await refresh(store, device);
  return ask(method, path, { body, token: device.accessToken });
}

const isResponse = (answer) => Boolean(answer.body.instrument);

// As many of the oldest check-ins in a row as fit one request.
function firstBatch(waiting, sentAt, mostItems) {
  const batch = [];
  let size = 2;
  for (const answer of waiting) {
    const item = { ...answer.body, id: answer.id, sent_at: sentAt };
    size += new TextEncoder().encode(JSON.stringify(item)).length + 1;
    if (isResponse(answer)) break;
    if (batch.length && (batch.length === mostItems || size > BATCH_BYTES)) break;
    batch.push(item);
  }
  return batch;
}

// That it was sent, and when; what was answered is not kept.
async function remember(store, { id, body }) {
  const { kind, instrument, answered_at } = body;
  const before = ((await store.kept("sentLog")) || []).filter((other) => other.id !== id);
  const sent = { id, body: { kind, instrument, answered_at }, arrivedAt: Date.now() };
  await store.keep("sentLog", [sent, ...before].slice(0, REMEMBERED));
}

async function settle(store, answer, result) {
  if (result.status === 200 || result.status === 201) {
    await store.drop(answer.id);
    // The list of what was sent is a courtesy; on a full phone it stays as it was.
    await remember(store, answer).catch(() => {});
    await store.keep("arrivedAt", Date.now()).catch(() => {});
    return;
  }
  await store.enqueue({ ...answer, refused: { status: result.status, problem: result.problem || {} } });
}

const REFUSALS = [400, 409, 413, 422];
// By something in between: a firewall that dislikes a note, a proxy that takes no long ones.
const BLOCKS = [400, 403, 406, 413, 422];
// Of these answers in particular, and not of everything that would be sent.
const isOfThese = (error) => (error instanceof Refused ? REFUSALS : BLOCKS).includes(error.status);

// No other answer would fare better now.
const isOfAll = (error) => (error instanceof Refused ? [401, 429, 503].includes(error.status) : !isOfThese(error));

// A refusal of this very answer, which no repetition will change; all else is worth another try later.
function isFinal(status) {
  return status < 500 && ![401, 408, 425, 429].includes(status);
}

// What this device saved and may send. Answers of an earlier enrolment wait until the client says they are theirs.
export async function waitingAnswers(store) {
  const device = await store.kept("device");
  const queue = await store.queue();
  return queue.filter((answer) => !answer.refused && device && answer.deviceId === device.deviceId);
}

// A response to a questionnaire travels alone. What became of it.
async function sendResponse(store, answer, sentAt) {
  try {
    const body = { ...answer.body, sent_at: sentAt };
    const { response } = await askAsDevice(store, "PUT", `/v1/instrument-responses/${answer.id}`, body);
    // Something in between may have said yes to it.
    if (!response || response.id !== answer.id) throw new Unreachable();
    return { status: 200 };
  } catch (error) {
    if (!(error instanceof Refused) || !isOfThese(error)) throw error;
    return error;
  }
}

// Send what waits, oldest first. An answer the server refuses stays, marked with why; after a failure that is of this
// answer alone it waits on, and the failure is among those returned; after any other all wait on, and it is thrown.
export async function sendQueue(store, now) {
  let mostItems = BATCH_ITEMS;
  const passed = new Map();
  // What cannot be noted here, as on a full phone, holds up none behind it either.
  const settleOne = (answer, result) => settle(store, answer, result).catch((error) => passed.set(answer.id, error));
  for (;;) {
    const waiting = (await waitingAnswers(store)).filter(({ id }) => !passed.has(id));
    if (!waiting.length) break;
    if (isResponse(waiting[0])) {
      try {
        await settleOne(waiting[0], await sendResponse(store, waiting[0], now()));
      } catch (error) {
        if (isOfAll(error)) throw error;
        // Whatever is wrong with this one holds up none behind it.
        passed.set(waiting[0].id, error);
      }
      continue;
    }
    const batch = firstBatch(waiting, now(), mostItems);
    let results;
    try {
      ({ results } = await askAsDevice(store, "POST", "/v1/check-ins/batch", batch));
    } catch (error) {
      if (isOfAll(error)) throw error;
      // One by one, so that a single answer never holds up the others.
      if (batch.length > 1) {
        mostItems = 1;
        continue;
      }
      if (!(error instanceof Refused && isOfThese(error))) {
        passed.set(batch[0].id, error);
        continue;
      }
      results = [error];
    }
    for (const [index, result] of results.entries()) {
      if (result.status >= 300 && !isFinal(result.status)) passed.set(waiting[index].id, new Unreachable(result));
      else await settleOne(waiting[index], result);
    }
    if (results.length < batch.length) throw new Unreachable();
  }
  return Array.from(passed.values());
}
