// A page without a kernel: bring explorers to life on the state that the page holds.

/** Stands in for the notebook's model: the same interface, but nothing beyond the page. */
export function standIn(state) {
  const callbacks = new Map();
  return {
    get: (name) => state[name],
    set(name, value) {
      if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
      state[name] = value;
      for (const callback of [...(callbacks.get(`change:${name}`) ?? [])]) callback();
    },
    on: (event, callback) => callbacks.set(event, [...(callbacks.get(event) ?? []), callback]),
    off: (event, callback) => callbacks.set(event, (callbacks.get(event) ?? []).filter((c) => c !== callback)),
    save_changes() {},
    send() {},
  };
}

/** Turn {"base64": …} back into bytes, at any depth. */
export function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.base64 === "string") return new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, decoded(v)]));
}

/** Show an explorer in every element of the page that asks for this `kind`. */
export function mount(kind, render) {
  for (const el of document.querySelectorAll(`[data-explorer="${kind}"]`)) {
    const state = JSON.parse(document.getElementById(el.dataset.state).textContent);
    render({ model: standIn(decoded(state)), el });
  }
}
