// Commands to the daemon over one WebSocket: one at a time, and of a slider only its last position.

import { socketAddress } from "./frames.js";

const LONGEST_WAIT_MS = 4000;
const BUSY_WAIT_MS = 50;

export class Commands {
  /** onError(sentence): a command was refused. onState("open" | "waiting"). */
  constructor({ token, onError = () => {}, onState = () => {} }) {
    this.address = socketAddress("/control", token);
    this.onError = onError;
    this.onState = onState;
    this.waiting = new Map();
    this.current = null;
    this.waitMs = 250;
    this.#connect();
  }

  /** Send a command; one with the same key that still waits is replaced. Resolves to the reply. */
  send(command, key = command.command) {
    return new Promise((resolve) => {
      this.waiting.get(key)?.resolve(null);
      this.waiting.delete(key);
      this.waiting.set(key, { key, command, resolve });
      this.#next();
    });
  }

  #connect() {
    this.socket = new WebSocket(this.address);
    this.socket.onopen = () => {
      this.waitMs = 250;
      this.onState("open");
      this.#next();
    };
    this.socket.onmessage = ({ data }) => {
      const reply = JSON.parse(data);
      if (reply.busy) {
        setTimeout(() => this.#again(), BUSY_WAIT_MS);
        return;
      }
      const done = this.current;
      this.current = null;
      if (!reply.ok) this.onError(reply.error);
      done?.resolve(reply);
      this.#next();
    };
    this.socket.onclose = () => {
      this.current?.resolve(null);
      this.current = null;
      this.onState("waiting");
      setTimeout(() => this.#connect(), this.waitMs);
      this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
    };
  }

  /** The last command came too soon; unless there is a newer one of its kind, it is sent anew. */
  #again() {
    const late = this.current;
    this.current = null;
    if (late !== null && !this.waiting.has(late.key)) this.waiting.set(late.key, late);
    else late?.resolve(null);
    this.#next();
  }

  #next() {
    if (this.current !== null || this.socket.readyState !== WebSocket.OPEN) return;
    const [first] = this.waiting;
    if (first === undefined) return;
    const [key, entry] = first;
    this.waiting.delete(key);
    this.current = entry;
    this.socket.send(JSON.stringify(entry.command));
  }
}
