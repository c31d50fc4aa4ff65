import { NetpollError } from '../errors'
import { CertificateFault } from './protocol-numbers'

/** What Node.js calls the faults of a chain of certificates, and what OpenSSL says of them. */
const faults: Readonly<Record<CertificateFault, readonly [string, string]>> = {
  [CertificateFault.CertHasExpired]: ['CERT_HAS_EXPIRED', 'certificate has expired'],
  [CertificateFault.CertNotYetValid]: ['CERT_NOT_YET_VALID', 'certificate is not yet valid'],
  [CertificateFault.DepthZeroSelfSignedCert]: ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate'],
  [CertificateFault.SelfSignedCertInChain]: [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'self-signed certificate in certificate chain',
  ],
  [CertificateFault.UnableToVerifyLeafSignature]: [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'unable to verify the first certificate',
  ],
  [CertificateFault.UnableToGetIssuerCertLocally]: [
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'unable to get local issuer certificate',
  ],
  [CertificateFault.UnableToGetIssuerCert]: ['UNABLE_TO_GET_ISSUER_CERT', 'unable to get issuer certificate'],
  [CertificateFault.CertSignatureFailure]: ['CERT_SIGNATURE_FAILURE', 'certificate signature failure'],
  [CertificateFault.InvalidPurpose]: ['INVALID_PURPOSE', 'unsuitable certificate purpose'],
  [CertificateFault.InvalidCa]: ['INVALID_CA', 'invalid CA certificate'],
  [CertificateFault.PathLengthExceeded]: ['PATH_LENGTH_EXCEEDED', 'path length constraint exceeded'],
  [CertificateFault.CertRejected]: ['CERT_REJECTED', 'certificate rejected'],
  [CertificateFault.NoCertificate]: ['UNABLE_TO_GET_ISSUER_CERT', 'the peer has shown no certificate'],
  [CertificateFault.AltnameInvalid]: [
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'The name of the server is not among those of its certificate',
  ],
  [CertificateFault.Unspecified]: ['UNSPECIFIED', 'the certificate cannot be verified'],
}

/** Names of alerts (RFC 8446, 6). */
const alerts: Readonly<Record<number, string>> = {
  0: 'close_notify',
  10: 'unexpected_message',
  20: 'bad_record_mac',
  22: 'record_overflow',
  40: 'handshake_failure',
  42: 'bad_certificate',
  43: 'unsupported_certificate',
  44: 'certificate_revoked',
  45: 'certificate_expired',
  46: 'certificate_unknown',
  47: 'illegal_parameter',
  48: 'unknown_ca',
  49: 'access_denied',
  50: 'decode_error',
  51: 'decrypt_error',
  70: 'protocol_version',
  71: 'insufficient_security',
  80: 'internal_error',
  86: 'inappropriate_fallback',
  90: 'user_canceled',
  100: 'no_renegotiation',
  109: 'missing_extension',
  110: 'unsupported_extension',
  112: 'unrecognized_name',
  113: 'bad_certificate_status_response',
  115: 'unknown_psk_identity',
  116: 'certificate_required',
  120: 'no_application_protocol',
}

/** What alerts mean whose names do not say it. */
const alertMeanings: Readonly<Record<number, string>> = {
  109: 'it may want a name, which `servername` gives',
  112: 'it has no certificate for the name that it was asked for',
}

/** The name of Node.js for a fault; `undefined` for a number that means none. */
export function faultCode(fault: number): string | undefined {
  return faultOf(fault)?.[0]
}

/** That a peer's certificate is refused. */
export function certificateError(fault: number): NetpollError {
  const [code, message] = faultOf(fault) ?? faults[CertificateFault.CertRejected]
  return new NetpollError(code, message)
}

/** That the peer has sent an alert. */
export function alertError(alert: number): NetpollError {
  const name = alerts[alert] ?? 'unknown'
  const meaning = alertMeanings[alert]
  const message = `The peer has sent the TLS alert ${name} (${alert})`
  return new NetpollError('ERR_TLS_ALERT', meaning === undefined ? message : `${message}: ${meaning}`)
}

function faultOf(fault: number): readonly [string, string] | undefined {
  return (faults as Readonly<Record<number, readonly [string, string] | undefined>>)[fault]
}
