/** What the runtime takes of every start. */
export {};
