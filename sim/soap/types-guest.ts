// The data types of guest operations: what VMware Tools are asked for inside a guest.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const GUEST_TYPES = `
GuestAuthentication(DynamicData) interactiveSession:boolean
NamePasswordAuthentication(GuestAuthentication) username:string password:string
SSPIAuthentication(GuestAuthentication) sspiToken:string
TicketedSessionAuthentication(GuestAuthentication) ticket:string
SAMLTokenAuthentication(GuestAuthentication) token:string username:string?
GuestFileAttributes(DynamicData) modificationTime:dateTime? accessTime:dateTime? symlinkTarget:string?
GuestPosixFileAttributes(GuestFileAttributes) ownerId:int? groupId:int? permissions:long?
GuestWindowsFileAttributes(GuestFileAttributes) hidden:boolean? readOnly:boolean? createTime:dateTime?
GuestFileInfo(DynamicData) path:string type:string size:long attributes:GuestFileAttributes
GuestListFileInfo(DynamicData) files:GuestFileInfo[]? remaining:int
FileTransferInformation(DynamicData) attributes:GuestFileAttributes size:long url:string
GuestProgramSpec(DynamicData) programPath:string arguments:string workingDirectory:string? envVariables:string[]?
GuestWindowsProgramSpec(GuestProgramSpec) startMinimized:boolean
GuestProcessInfo(DynamicData) name:string pid:long owner:string cmdLine:string startTime:dateTime endTime:dateTime?
  exitCode:int?
GuestOperationsFault(VimFault)
GuestOperationsUnavailable(GuestOperationsFault)
InvalidGuestLogin(GuestOperationsFault)
GuestPermissionDenied(GuestOperationsFault)
GuestProcessNotFound(GuestOperationsFault) pid:long
OperationDisabledByGuest(GuestOperationsFault)
OperationNotSupportedByGuest(GuestOperationsFault)
NotADirectory(FileFault)
DirectoryNotEmpty(FileFault)
`
