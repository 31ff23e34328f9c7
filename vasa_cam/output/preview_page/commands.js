// Commands to the daemon over one WebSocket: one at a time, and of a slider only its last position.

import { socketAddress } from "./frames.js";

const LONGEST_WAIT_MS = 4000;

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
      this.waiting.set(key, { command, resolve });
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
      const done = this.current;
      this.current = null;
      if (!reply.ok && !reply.busy) this.onError(reply.error);
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
