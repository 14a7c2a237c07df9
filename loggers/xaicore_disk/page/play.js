// Going from step to step, by hand or by playing.

const PAUSE = 600; // milliseconds per step
let timer = null;

function stepBy(by) {
  controls.step.value = controls.step.valueAsNumber + by; // the control limits it to its range
  update();
}

function atEnd() {
  return controls.step.valueAsNumber === steps.length - 1;
}

/** Play from the current step, from the first one if the current step is the last; or pause. */
function play() {
  if (timer !== null || steps.length < 2) return stop();
  if (atEnd()) controls.step.value = 0;
  timer = setInterval(advance, PAUSE);
  update();
  preload(nextEntries());
  showPlaying(true);
}

function advance() {
  stepBy(1);
  if (atEnd()) stop();
  else preload(nextEntries());
}

function stop() {
  clearInterval(timer);
  timer = null;
  showPlaying(false);
}

function nextEntries() {
  return entriesAt(selection, controls.step.valueAsNumber + 1);
}

function showPlaying(playing) {
  for (const button of document.querySelectorAll(".time .play")) {
    button.classList.toggle("playing", playing);
    button.setAttribute("aria-label", playing ? "pause" : "play");
    button.title = playing ? "pause (Space)" : "play (Space)";
  }
  for (const told of [form.querySelector(".status"), document.getElementById("headline")]) {
    told.setAttribute("aria-live", playing ? "off" : "polite");
  }
}
