// Elements of the page.

const byId = (id) => document.getElementById(id);
const svg = (name, attributes) => filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes);
const html = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);

function filled(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) if (value !== false) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets the text if it is another: what stays the same is neither laid out nor read aloud again. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
