// The service's API: JSON in and out, problems as exceptions, and the token asked for where it is wanted.

import { askForToken } from "./token_dialog.js";

/** What the service refused, as RFC 9457 says it. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The service answered with status ${status}.`);
    this.status = status;
    this.errors = body.errors ?? [];
  }
}

/** The answer to a GET. */
export function get(path) {
  return call(path, { method: "GET" });
}

/** The answer to a POST; the body is an object, or text with its type. */
export function post(path, body, type = "application/json") {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  return call(path, { method: "POST", body: text, headers: text === undefined ? {} : { "Content-Type": type } });
}

/** The path of a search, or of something below it. */
export function searchPath(name, rest = "") {
  return `/v1/searches/${encodeURIComponent(name)}${rest}`;
}

async function call(path, request) {
  const response = await reached(path, request);
  if (response.status === 401) {
    await askForToken(showToken);
    return call(path, request);
  }
  const body = await bodyOf(response);
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

async function reached(path, request) {
  try {
    return await fetch(path, request);
  } catch {
    throw new Problem(0, { detail: "The service must be reachable, but does not answer. Is `paretomerge serve` running?" });
  }
}

async function bodyOf(response) {
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return {};
  }
}

/** Whether the service took the token; it then has set its cookie, which every later call carries. */
async function showToken(token) {
  const response = await reached("/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  return response.ok;
}
