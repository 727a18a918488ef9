export const DEFAULT = {
  session: () => ({ enabled: true }),
};
