// The one place that loads ssh2, after its native part has been kept out.

import './no-native-ssh2.ts'

import ssh2 from 'ssh2'

export const SshClient = ssh2.Client
export const parseSshKey = ssh2.utils.parseKey
