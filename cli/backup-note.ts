/** Said whenever no policy is given. */
export const defaultPolicyNote =
  'No policy given: quiescing is tried and a crash-consistent point accepted, no guest processing, transport "datastore"'
