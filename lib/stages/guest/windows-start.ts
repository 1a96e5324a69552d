export const windowsStart = ''
