import { FrameStream, takeToken } from "./frames.js";

const canvas = document.getElementById("picture");

new FrameStream({
  canvas,
  token: takeToken("vasa-cam-obs-token"),
  alpha: true,
  onFrame: (frame) => {
    document.documentElement.dataset.sequence = String(frame.sequence);
  },
  // A still of somebody who has left would be worse than nothing.
  onState: (state) => {
    if (state === "waiting") canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  },
});
