'use strict';
const filter = document.getElementById('filter');
const count = document.getElementById('count');
const parts = [...document.querySelectorAll('.part')];
const items = [...document.querySelectorAll('.step, .reason')];
const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));
const opened = new Map(parts.map((part) => [part, part.open]));

function apply() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const item of items) {
    const text = texts.get(item);
    item.hidden = !words.every((word) => text.includes(word));
    if (!item.hidden) shown += 1;
  }
  for (const part of parts) {
    const some = part.querySelector('.step:not([hidden])') !== null;
    part.hidden = !some;
    part.open = words.length > 0 ? some : opened.get(part);
  }
  count.textContent = words.length > 0 ? `${shown} of ${items.length}` : `${items.length}`;
}

function all(open) {
  for (const part of parts) {
    part.open = open;
    opened.set(part, open);
  }
}

function move(by) {
  const visible = items.filter((item) => item.offsetParent !== null);
  if (visible.length === 0) return;
  const now = visible.indexOf(document.activeElement.closest('.step, .reason'));
  const next = visible[Math.min(Math.max(now + by, 0), visible.length - 1)];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: 'nearest' });
}

function reveal() {
  const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
  const part = target?.closest('.part');
  if (part) {
    part.open = true;
    target.scrollIntoView();
  }
}

filter.addEventListener('input', apply);
filter.form.addEventListener('submit', (event) => event.preventDefault());
document.getElementById('open').addEventListener('click', () => all(true));
document.getElementById('close').addEventListener('click', () => all(false));
window.addEventListener('hashchange', reveal);
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filter) {
    if (event.key === 'Escape') {
      filter.value = '';
      apply();
      filter.blur();
    }
    return;
  }
  if (event.key === '/') {
    event.preventDefault();
    filter.focus();
  } else if (event.key === 'j') move(1);
  else if (event.key === 'k') move(-1);
  else if (event.key === 'Enter' && document.activeElement.matches('.step')) {
    const commands = document.activeElement.querySelector('details');
    if (commands) commands.open = !commands.open;
  }
});
apply();
reveal();
