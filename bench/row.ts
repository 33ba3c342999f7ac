/** One line of a benchmark's table: column to figure. */
export type Row = Readonly<Record<string, string | number>>;
