export const DEFAULT = {
  general: () => ({ filteredParams: ["password"] }),
};
