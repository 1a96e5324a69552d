// Types of node-24.mjs, which is plain JavaScript because it runs on older Nodes.

export declare const neededNode: string
export declare function judgeNode(version: string): 'fits' | 'newer' | 'older'
export declare function nodePackageOfThisMachine(): string | undefined
export declare function installedNode(root: string): string | undefined
