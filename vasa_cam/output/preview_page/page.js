// The preview page: picture, figures, controls. Everything it shows comes from the daemon, so that
// several pages, the terminal and `vasa-cam ctl` agree.

import { Commands } from "./commands.js";
import { FrameStream, takeToken } from "./frames.js";

const STATUS_EVERY_MS = 1000;
const FIGURES_OVER_MS = 2000;
const GAZE_LIMIT_DEG = 35;

const find = (id) => document.getElementById(id);
const token = takeToken();
history.replaceState(null, "", location.pathname); // the token is nobody else's business

// Picture and its figures

const screen = document.querySelector(".screen");
const painted = [];
let mirrored = false;

function showFrame(frame, receivedAt) {
  const now = performance.now();
  find("cover").hidden = true;
  mirrored = frame.mirrored;
  screen.classList.toggle("mirrored", mirrored);
  document.documentElement.dataset.sequence = String(frame.sequence);
  painted.push({ now, latency: frame.sentMs - frame.captureMs + now - receivedAt });
  while (painted.length > 0 && now - painted[0].now > FIGURES_OVER_MS) painted.shift();
}

function showFrameFigures() {
  const now = performance.now();
  const recent = painted.filter((each) => now - each.now <= FIGURES_OVER_MS);
  const sorted = recent.map((each) => each.latency).sort((a, b) => a - b);
  const span = recent.length > 1 ? recent.at(-1).now - recent[0].now : 0;
  find("fps").textContent = span > 0 ? ((1000 * (recent.length - 1)) / span).toFixed(0) : "–";
  find("latency").textContent =
    sorted.length > 0 ? sorted[Math.floor(sorted.length / 2)].toFixed(0) : "–";
}

function showConnection(state) {
  const pill = find("connection");
  pill.textContent = state === "open" ? "live" : "no connection";
  pill.className = state === "open" ? "pill live" : "pill lost";
  if (state === "open") return;
  const cover = find("cover");
  cover.hidden = false;
  cover.textContent =
    token === ""
      ? "Open the link that vasa-cam printed: it holds this run's key."
      : "vasa-cam does not answer. It may have ended, or been started anew with another link.";
}

new FrameStream({ canvas: find("picture"), token, onFrame: showFrame, onState: showConnection });

// Commands

let messageTimer = 0;

function say(sentence) {
  find("message").textContent = sentence;
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => (find("message").textContent = ""), 6000);
}

const commands = new Commands({ token, onError: say });
const touched = new Map(); // when the user last moved a control: its own echo must not move it back

function tell(command, key) {
  touched.set(key ?? command.command, performance.now());
  return commands.send(command, key);
}

function pressed(id) {
  return find(id).getAttribute("aria-pressed") === "true";
}

function press(id, on, label) {
  find(id).setAttribute("aria-pressed", String(on));
  if (label !== undefined) find(id).textContent = label;
}

find("pause").onclick = () => tell({ command: pressed("pause") ? "resume" : "pause" }).then(ask);
find("mute").onclick = () => tell({ command: pressed("mute") ? "unmute" : "mute" }).then(ask);
find("mirror").onclick = () => tell({ command: "mirror", on: !pressed("mirror") }).then(ask);
find("panic").onclick = () => {
  const mode = find("panic-mode").value;
  const panic = mode === "" ? { command: "panic" } : { command: "panic", mode };
  tell(pressed("panic") ? { command: "calm" } : panic).then(ask);
};

// Sliders

function label(slider) {
  const output = slider.closest("label").querySelector(".value");
  const digits = slider.step.includes(".") ? 2 : 0;
  output.textContent = Number(slider.value).toFixed(digits) + (slider.dataset.unit ?? "");
}

function place(id, value, key) {
  const slider = find(id);
  if (value === undefined || performance.now() - (touched.get(key) ?? -Infinity) < 1500) return;
  slider.value = String(value);
  label(slider);
}

const number = (id) => Number(find(id).value);

function sendGaze() {
  placeDot();
  tell({ command: "gaze", x: number("gaze-x"), y: number("gaze-y") });
}

function sendEmotion() {
  const name = document.querySelector("input[name=emotion]:checked").value;
  tell({ command: "emotion", name, amount: number("emotion-amount") });
}

const senders = {
  "gaze-x": sendGaze,
  "gaze-y": sendGaze,
  distance: () => tell({ command: "distance", value: number("distance") }),
  "emotion-amount": sendEmotion,
  blinks: () => tell({ command: "blinks", value: number("blinks") }),
};
for (const part of ["lips", "face", "head"]) {
  senders[part] = () => tell({ command: "expressiveness", part, value: number(part) }, part);
}
for (const [id, send] of Object.entries(senders)) {
  find(id).addEventListener("input", () => {
    label(find(id));
    send();
  });
  label(find(id));
}
find("emotions").addEventListener("change", sendEmotion);
find("natural").onclick = () => setAll(["lips", "face", "head", "blinks"], 1);
find("centre").onclick = () => setAll(["gaze-x", "gaze-y"], 0);

function setAll(ids, value) {
  for (const id of ids) {
    find(id).value = String(value);
    find(id).dispatchEvent(new Event("input"));
  }
}

// The pad does what the two sliders do, with one finger. In a mirror, right is the other way.

const pad = find("gaze-pad");

function placeDot() {
  const side = mirrored ? -1 : 1;
  const dot = pad.querySelector("i");
  dot.style.left = `${50 + (50 * side * number("gaze-x")) / GAZE_LIMIT_DEG}%`;
  dot.style.top = `${50 - (50 * number("gaze-y")) / GAZE_LIMIT_DEG}%`;
}

function lookAt(event) {
  const box = pad.getBoundingClientRect();
  const part = (at, start, size) => Math.max(-1, Math.min(1, (2 * (at - start)) / size - 1));
  const side = mirrored ? -1 : 1;
  find("gaze-x").value = String(side * GAZE_LIMIT_DEG * part(event.clientX, box.left, box.width));
  find("gaze-y").value = String(-GAZE_LIMIT_DEG * part(event.clientY, box.top, box.height));
  label(find("gaze-x"));
  label(find("gaze-y"));
  sendGaze();
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  lookAt(event);
});
pad.addEventListener("pointermove", (event) => {
  if (pad.hasPointerCapture(event.pointerId)) lookAt(event);
});

// Background

function sendBackground() {
  const kind = find("background").value;
  tell({ command: "background", spec: kind === "colour" ? find("colour").value : kind });
}

find("background").onchange = sendBackground;
find("colour").oninput = () => {
  find("background").value = "colour";
  sendBackground();
};

find("copy").onclick = async () => {
  const address = `${location.origin}/obs?token=${encodeURIComponent(token)}`;
  try {
    await navigator.clipboard.writeText(address);
    say("The address is in the clipboard.");
  } catch {
    say(address);
  }
};

// What the daemon says about itself

function showState(state) {
  press("pause", state.paused, state.paused ? "Resume" : "Pause");
  press("mute", state.muted, state.muted ? "Unmute" : "Mute");
  press("mirror", state.mirror);
  press("panic", Boolean(state.panic), state.panic ? "End panic" : "Panic");
  const words = [
    state.panic && `panic: ${state.panic}`,
    state.paused && "paused",
    state.muted && "muted",
  ].filter(Boolean);
  find("on-air").textContent = words.join(" · ");
  find("on-air").hidden = words.length === 0;
  if (performance.now() - (touched.get("background") ?? -Infinity) > 1500) {
    const colour = /^#[0-9a-f]{6}$/i.test(state.background ?? "");
    const kinds = [...find("background").options].map((option) => option.value);
    const known = kinds.includes(state.background) ? state.background : "other";
    find("background").value = colour ? "colour" : known;
    if (colour) find("colour").value = state.background;
  }
  if (state.controls) showControls(state.controls);
}

function showControls(controls) {
  place("gaze-x", controls.gaze_deg?.[0], "gaze");
  place("gaze-y", controls.gaze_deg?.[1], "gaze");
  placeDot();
  place("distance", controls.distance, "distance");
  for (const part of ["lips", "face", "head"]) place(part, controls[part], part);
  place("blinks", controls.blinks, "blinks");
  const [felt] = Object.entries(controls.emotion ?? {});
  if (felt !== undefined && performance.now() - (touched.get("emotion") ?? -Infinity) > 1500) {
    const chip = document.querySelector(`input[name=emotion][value="${CSS.escape(felt[0])}"]`);
    if (chip !== null) chip.checked = true;
    place("emotion-amount", felt[1], "emotion");
  }
}

function problemsOf(status) {
  const sinks = status.sinks ?? [];
  const { state = {}, source = {} } = status;
  return [
    source.problem && `voice: ${source.problem}`,
    state.motion_problem && `motion: ${state.motion_problem}`,
    state.picture_problem && `picture: ${state.picture_problem}`,
    state.panic_problem && `panic: ${state.panic_problem}`,
    ...sinks.map((sink) => sink.problem && `${sink.name}: ${sink.problem}`),
  ].filter(Boolean);
}

function showStatus(status) {
  const figure = (id, value, digits) => {
    find(id).textContent = Number.isFinite(value) ? value.toFixed(digits) : "–";
  };
  figure("end-to-end", status.hops_ms?.end_to_end?.p95, 0);
  figure("delay", status.delay_ms, 0);
  figure("repeated", status.counters?.frames_repeated, 0);
  figure("cores", status.cpu_cores, 2);
  if (status.state) showState(status.state);
  const problems = problemsOf(status);
  const list = find("problems");
  if (problems.join("\n") !== list.dataset.shown) {
    list.dataset.shown = problems.join("\n");
    list.replaceChildren(
      ...problems.map((sentence) => {
        const item = document.createElement("li");
        item.textContent = sentence;
        return item;
      }),
    );
  }
}

async function ask() {
  const status = await commands.send({ command: "status" });
  if (status?.ok) showStatus(status);
}

setInterval(showFrameFigures, 500);
setInterval(ask, STATUS_EVERY_MS);
ask();
