export const windowsWrapper = ''
