/** The port mapper as a process. */
export function main(): Promise<number> {
  return Promise.resolve(1);
}
