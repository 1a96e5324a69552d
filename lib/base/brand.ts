// Nominal types: two brands of one primitive are not assignable to each other. A brand is made by one parse function.

declare const brand: unique symbol

export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name }
