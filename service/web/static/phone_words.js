// Texts in the page's language. English is the source; the page brings the others with it, so that it needs no network.

export const language = document.documentElement.lang;
const words = JSON.parse(document.body.dataset.words);

// A text, with what stands in braces replaced by its value.
export const say = (text, values = {}) => (words[text] || text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
