"use strict";
// Fetches the page anew and changes only what differs: scroll position, focus, selection and open details stay.
(() => {
  const seconds = Number(document.body.dataset.refresh);
  if (!seconds) return;
  const bar = document.getElementById("refresh");
  const text = bar.querySelector("span");
  const button = bar.querySelector("button");
  const words = JSON.parse(document.body.dataset.words);
  let paused = false;
  let shown = new Date();

  const refreshes = words.refreshes.replace("{seconds}", seconds);
  const clock = (time) => time.toISOString().slice(11, 19) + "Z";
  const say = (words, stale) => {
    if (text.textContent !== words) text.textContent = words;
    document.body.classList.toggle("stale", stale);
  };

  const attributes = (old, fresh) => {
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  };

  const become = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    attributes(old, fresh);
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const known = wanted.id ? [...old.children].find((child) => child.id === wanted.id) : at && !at.id ? at : null;
      if (!known || known.nodeName !== wanted.nodeName) {
        old.insertBefore(wanted, at);
        continue;
      }
      if (known === at) at = at.nextSibling;
      else old.insertBefore(known, at);
      become(known, wanted);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const refresh = async () => {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(seconds * 900) });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focused = document.activeElement;
      become(document.getElementById("main"), fresh.getElementById("main"));
      if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
      document.title = fresh.title;
      document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
      shown = new Date();
      say(refreshes, false);
    } catch {
      say(words.unanswered.replace("{time}", clock(shown)), true);
    }
  };

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? words.resume : words.pause;
    say(paused ? words.paused.replace("{time}", clock(shown)) : refreshes, paused);
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  bar.hidden = false;
  say(refreshes, false);
  setInterval(refresh, seconds * 1000);
})();
