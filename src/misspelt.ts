/**
 * Finds variables whose names are nearly those of settings: `TOKEN_SECRT`, `FLUSHMS`, `log_level`. The environment has
 * many owners, so only clear cases count: short names without an underscore are ignored, and so is a name whose setting
 * is set.
 */

export interface Misspelt {
  readonly name: string;
  /** The setting that was probably meant. */
  readonly meant: string;
}

/** Letters and digits of the shortest name that others are compared with. */
const lettersMin = 7;
/** From this length on, two slips count as near. */
const lettersOfLong = 12;
/** A common prefix for the variables of one program. */
const prefix = /^RINGSIDE_/;

/** `names`: of all settings. */
export function findMisspelt(
  names: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): readonly Misspelt[] {
  const isSet = (name: string): boolean => (environment[name] ?? '') !== '';
  const open = names.filter((name) => name.includes('_') && lettersOf(name).length >= lettersMin && !isSet(name));
  const strange = Object.keys(environment).filter((name) => isSet(name) && !names.includes(name));
  return strange.flatMap((name) => {
    const meant = open.find((one) => isNear(name, one));
    return meant === undefined ? [] : [{ name, meant }];
  });
}

const lettersOf = (name: string): string => name.toUpperCase().replace(/[^A-Z0-9]/g, '');

function isNear(name: string, setting: string): boolean {
  const letters = lettersOf(setting);
  const slipsMax = letters.length >= lettersOfLong ? 2 : 1;
  // The beginning of a name that goes on, such as LOG_ENTRIES.
  if (name.includes('_') && setting.startsWith(`${name}_`)) return true;
  return [name, name.replace(prefix, '')].some((one) => slipsBetween(lettersOf(one), letters, slipsMax) <= slipsMax);
}

/** How many letters were left out, added, changed, or swapped with the next; more than `max` is not counted to the end. */
function slipsBetween(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (isSame ? 0 : 1),
        isSwapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
