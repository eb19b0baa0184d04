/** The version of this program, as released. */
export const VERSION = "0.1.0";
