// The numbers of a look that have a slider and may have keys on the timeline.

import { draft, form, isKeys, media, valueAt, withKey } from "./state.js";

// to: from a value to its place on the slider; from: back; typed: from the number that is shown to a value.
const share = { to: (value) => value, from: (place) => place, shown: (value) => value.toFixed(2), typed: (number) => number };
const percent = { ...share, shown: (value) => `${Math.round(100 * value)} %`, typed: (number) => number / 100 };
const log2 = { ...share, to: Math.log2, from: (place) => 2 ** place, shown: (value) => `${value.toFixed(value < 1 ? 2 : 1)}×` };
const short = (name) => name.replace(/\.[^.]*$/, "").replaceAll("_", " ");

// The settings' own words, as far as they are plain: their first part, without what the number is inside.
const about = (name) => form.find((field) => field.name === name);
const setting = (name, label, low, high, scale) => ({
  id: name, label, low, high, scale,
  get usual() {
    return about(name).default;
  },
  get help() {
    return about(name).help.split(";")[0].split(": ").at(-1);
  },
  get() {
    return draft.look[name] ?? this.usual;
  },
  set(curve) {
    if (curve === this.usual) delete draft.look[name];
    else draft.look[name] = curve;
  },
});

export const MAIN = [
  setting("strength", "Strength", 0, 1, share),
  setting("style_scale", "Stroke size", -2, 2, log2),
  setting("coherence", "Coherence", 0, 1, share),
  {
    id: "colours", label: "Clip’s colours", usual: 0, low: 0, high: 1, scale: percent, help: "0 % has the painting’s colours, 100 % the clip’s own",
    get: () => draft.look.colours.share,
    set: (curve) => (draft.look.colours.share = curve),
  },
];

const constant = (styles) => styles.every((style) => typeof (style.weight ?? 1) === "number");
const sum = (styles) => styles.reduce((all, style) => all + valueAt(style.weight ?? 1, draft.at), 0);
const rounded = (value) => Math.round(1e4 * value) / 1e4;

// Weights without keys are shares of the blend, which add up to one.
export function setShare(styles, style, share) {
  const others = styles.filter((other) => other !== style && constant([other])), all = sum(others);
  style.weight = rounded(share);
  for (const other of others) other.weight = rounded(((1 - share) * (all ? other.weight ?? 1 : 1)) / (all || others.length));
}

function weight(style, where, styles) {
  const label = short(media.get(style.picture)?.name ?? "painting");
  const share = (value) => value / Math.max(1e-6, value + sum(styles.filter((other) => other !== style)));
  return {
    id: `weight ${where} ${style.picture}`, label, spoken: `Share of ${label}`, usual: 1 / styles.length, low: 0, high: 1,
    normal: constant(styles) ? 1 / styles.length : undefined, help: "its share of the blend",
    scale: { ...percent, to: (value) => (constant(styles) ? share(value) : value), shown: (value) => `${Math.round(100 * share(value))} %` },
    get: () => style.weight ?? 1,
    set: (curve) => (constant(styles) && typeof curve === "number" ? setShare(styles, style, curve) : (style.weight = curve)),
  };
}

// The styles of the part that is being worked on: the whole picture, or a region.
export const stylesHere = () => (draft.part < 0 ? draft.look.style : (draft.look.region[draft.part].style ??= []));

export function blendNumbers(styles = stylesHere(), where = draft.part) {
  return styles.length > 1 ? styles.map((style) => weight(style, where, styles)) : [];
}

export const regionNumber = (region, index) => ({
  id: `region ${index}`, label: region.style?.length ? "Strength here" : "As filmed", usual: 1,
  ...(region.style?.length ? { low: -3, high: 3, scale: log2 } : { low: 0, high: 1, scale: percent }),
  help: region.style?.length ? "how strong the painting is in this part, beside the rest" : "how much of the clip as filmed stays in this part",
  get: () => region.weight ?? 1,
  set: (curve) => (curve === 1 ? delete region.weight : (region.weight = curve)),
});

export function allNumbers() {
  const regions = draft.look.region;
  return [
    ...MAIN, ...blendNumbers(draft.look.style, -1),
    ...regions.flatMap((region, i) => [regionNumber(region, i), ...blendNumbers(region.style ?? [], i)]),
  ];
}

// The place of the normal value on the slider.
export const normal = (number) => number.normal ?? number.scale.to(number.usual);

// The value is set at the present time where there are keys, else everywhere.
export function setNow(number, value) {
  number.set(isKeys(number.get()) ? withKey(number.get(), draft.at, value) : value);
}

export function toggleKey(number) {
  const curve = number.get(), at = draft.at;
  if (isKeys(curve)) {
    const left = curve.filter((key) => Math.abs(key[0] - at) >= 0.002);
    if (left.length < curve.length) return number.set(left.length ? left : valueAt(curve, at));
  }
  number.set(withKey(curve, at, valueAt(curve, at)));
}

export const hasKeyHere = (number) => isKeys(number.get()) && number.get().some((key) => Math.abs(key[0] - draft.at) < 0.002);
