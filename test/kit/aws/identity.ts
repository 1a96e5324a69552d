// The one identity and region that the test servers know.

export const TEST_CREDENTIALS = {
  accessKeyId: 'AKIDCOLDFRAMETEST000',
  secretAccessKey: 'test/secret+of/no+account/anywhere000000',
} as const
export const TEST_REGION = 'eu-central-1'
export const TEST_ACCOUNT = '111122223333'

/** The identity as a program's environment. */
export const TEST_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
  AWS_REGION: TEST_REGION,
} as const

export function arnOf(api: string, resource: string): string {
  return `arn:aws:${api}:${TEST_REGION}:${TEST_ACCOUNT}:${resource}`
}
