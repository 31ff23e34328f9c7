// Frames from the server onto a canvas: the newest one, decoded once, acknowledged when shown.

const HEADER_BYTES = 44;
const MIRRORED = 1;
const HAS_ALPHA = 2;
const LONGEST_WAIT_MS = 4000;

/** The token of this run: from the address once, then kept for this tab and taken out of sight. */
export function takeToken(storageKey = "vasa-cam-token") {
  const given = new URLSearchParams(location.search).get("token");
  try {
    if (given !== null) sessionStorage.setItem(storageKey, given);
    return sessionStorage.getItem(storageKey) ?? "";
  } catch {
    return given ?? ""; // no storage here: the token lives as long as the page
  }
}

export function socketAddress(path, token, extra = {}) {
  const query = new URLSearchParams({ ...extra, token });
  return `ws://${location.host}${path}?${query}`;
}

function parse(buffer) {
  const view = new DataView(buffer);
  const flags = view.getUint8(4);
  const jpegBytes = view.getUint32(16, true);
  const ms = (offset) => Number(view.getBigUint64(offset, true)) / 1000;
  return {
    mirrored: (flags & MIRRORED) !== 0,
    hasAlpha: (flags & HAS_ALPHA) !== 0,
    width: view.getUint16(6, true),
    height: view.getUint16(8, true),
    sequence: view.getUint32(12, true),
    captureMs: ms(20),
    shownMs: ms(28),
    sentMs: ms(36),
    jpeg: new Uint8Array(buffer, HEADER_BYTES, jpegBytes),
    alpha: new Uint8Array(buffer, HEADER_BYTES + jpegBytes),
  };
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export class FrameStream {
  /** onFrame(frame, receivedAt): after it is on the canvas. onState("open" | "waiting"). */
  constructor({ canvas, token, alpha = false, onFrame = () => {}, onState = () => {} }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha });
    this.alpha = alpha;
    this.address = socketAddress("/frames", token, { acks: "1", alpha: alpha ? "1" : "0" });
    this.onFrame = onFrame;
    this.onState = onState;
    this.waitMs = 250;
    this.newest = null;
    this.working = false;
    this.#connect();
  }

  #connect() {
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.waitMs = 250;
      this.onState("open");
    };
    socket.onmessage = ({ data }) => {
      if (this.newest !== null) this.#done(this.newest); // it will never be shown
      this.newest = { data, socket, receivedAt: performance.now() };
      this.#work();
    };
    socket.onclose = () => {
      this.onState("waiting");
      setTimeout(() => this.#connect(), this.waitMs);
      this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
    };
  }

  async #work() {
    if (this.working) return;
    this.working = true;
    while (this.newest !== null) {
      const message = this.newest;
      this.newest = null;
      try {
        const frame = parse(message.data);
        await this.#draw(frame);
        this.onFrame(frame, message.receivedAt);
      } catch (error) {
        console.warn("a frame could not be shown:", error);
      }
      this.#done(message);
    }
    this.working = false;
  }

  #done({ socket }) {
    if (socket.readyState === WebSocket.OPEN) socket.send("shown");
  }

  async #draw(frame) {
    const blob = new Blob([frame.jpeg], { type: "image/jpeg" });
    const [bitmap, plane] = await Promise.all([
      createImageBitmap(blob),
      frame.hasAlpha ? inflate(frame.alpha) : null,
    ]);
    const { canvas, context } = this;
    if (canvas.width !== frame.width || canvas.height !== frame.height) {
      canvas.width = frame.width;
      canvas.height = frame.height;
    }
    if (plane === null) context.drawImage(bitmap, 0, 0);
    else context.putImageData(this.#joined(bitmap, plane), 0, 0);
    bitmap.close();
  }

  /** The colours of a bitmap with the alpha of a plane. */
  #joined(bitmap, plane) {
    const { width, height } = bitmap;
    if (this.colours?.canvas.width !== width || this.colours?.canvas.height !== height) {
      const behind = new OffscreenCanvas(width, height);
      this.colours = behind.getContext("2d", { willReadFrequently: true });
    }
    this.colours.drawImage(bitmap, 0, 0);
    const image = this.colours.getImageData(0, 0, width, height);
    const data = image.data;
    for (let pixel = 0; pixel < plane.length; pixel += 1) data[4 * pixel + 3] = plane[pixel];
    return image;
  }
}
