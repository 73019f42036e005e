// One search as it happens: server-sent events in, a few calm notices a second out.

import { get, searchPath } from "./api.js";
import { PointColumns } from "./point_columns.js";

// Redrawing thousands of points costs tens of milliseconds: what comes in between is drawn together.
const BETWEEN_DRAWINGS_MS = 250;
// The front is asked for again at most this often while candidates stream in.
const BETWEEN_FRONTS_MS = 1000;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15000;

/**
 * The state of a search. Events: `detail`, `points`, `front`, `exports`, `connection`, and `missing` with the problem
 * of a search that cannot be read.
 */
export class LiveSearch extends EventTarget {
  detail = null;
  columns = null;
  front = null;
  heldOutFront = null;
  hypervolume = null;
  exports = [];
  isConnected = null;
  #source = null;
  #retryMs = FIRST_RETRY_MS;
  #isClosed = false;
  #timers = new Set();
  #pending = null;
  #frontTimer = null;
  #frontAsked = 0;

  constructor(name) {
    super();
    this.name = name;
  }

  /** Begins: the search itself first, then everything that can come later. */
  async open() {
    try {
      this.#takeDetail(await get(searchPath(this.name)));
    } catch (problem) {
      this.#notify("missing", problem);
      return;
    }
    if (this.#isClosed) return;
    this.#connect();
    this.#refreshFront();
    this.refreshExports();
  }

  close() {
    this.#isClosed = true;
    this.#source?.close();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Asks for the exports again. */
  async refreshExports() {
    await this.#quietly(async () => {
      this.exports = (await get(searchPath(this.name, "/exports"))).exports;
      this.#notify("exports");
    });
  }

  /** Takes what an action on the search has answered. */
  take(detail) {
    this.#takeDetail(detail);
  }

  #connect() {
    const source = new EventSource(searchPath(this.name, "/events"));
    this.#source = source;
    source.addEventListener("open", () => this.#connected());
    source.addEventListener("search", (event) => this.#takeDetail(JSON.parse(event.data)));
    source.addEventListener("points", (event) => this.#takePoints(JSON.parse(event.data)));
    source.addEventListener("front", () => this.#refreshFront());
    source.addEventListener("exports", () => this.refreshExports());
    source.addEventListener("error", () => this.#lost(source));
  }

  #connected() {
    const wasLost = this.isConnected === false;
    this.isConnected = true;
    this.#retryMs = FIRST_RETRY_MS;
    this.#notify("connection");
    if (!wasLost) return;
    this.#refreshFront();
    this.refreshExports();
  }

  /** A browser tries again by itself, but not after an answer that is no stream: a proxy's error, or a wanted token. */
  #lost(source) {
    this.isConnected = false;
    this.#notify("connection");
    if (source.readyState !== EventSource.CLOSED) return;
    this.#after(this.#retryMs, async () => {
      await this.#quietly(async () => this.#takeDetail(await get(searchPath(this.name))));
      if (!this.#isClosed) this.#connect();
    });
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
  }

  #takeDetail(detail) {
    if (this.#isClosed) return;
    this.detail = detail;
    this.columns ??= new PointColumns(detail.objectives);
    this.#notify("detail");
  }

  #takePoints(points) {
    this.columns.take(points);
    if (this.#pending) return;
    this.#pending = this.#after(points.reset ? 0 : BETWEEN_DRAWINGS_MS, () => {
      this.#pending = null;
      this.#notify("points");
    });
  }

  /** Now, or once the last answer is old enough; whatever asks in between is answered together. */
  #refreshFront() {
    if (this.#frontTimer) return;
    const wait = Math.max(0, this.#frontAsked + BETWEEN_FRONTS_MS - performance.now());
    this.#frontTimer = this.#after(wait, async () => {
      this.#frontTimer = null;
      this.#frontAsked = performance.now();
      await this.#quietly(async () => {
        const paths = ["/front", "/front?split=holdout", "/hypervolume"].map((rest) => get(searchPath(this.name, rest)));
        [this.front, this.heldOutFront, this.hypervolume] = await Promise.all(paths);
        this.#notify("front");
      });
    });
  }

  /** A reading that fails is tried again by the next event; the lost connection is shown already. */
  async #quietly(reading) {
    try {
      if (!this.#isClosed) await reading();
    } catch (problem) {
      console.warn(problem.message);
    }
  }

  #after(delayMs, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isClosed) action();
    }, delayMs);
    this.#timers.add(timer);
    return timer;
  }

  #notify(type, detail) {
    if (!this.#isClosed) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
