// Texts in the page's language. English is the source: each language's scripts are served with its own texts in them
// (service/web/assets.py), so that a phone keeps no dictionary.

export const language = document.documentElement.lang;

// A text, with what stands in braces replaced by its value; one that ends in a point, as "a.m.", ends the sentence, too.
export const say = (text, values = {}) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]).replace("..", ".");
