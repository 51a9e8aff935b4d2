# frozen_string_literal: true

require 'openssl'
require 'tmpdir'

# An authority, and certificates for the service and for a caller.
class Certificates
  attr_reader :folder

  def initialize
    @folder = Dir.mktmpdir('cloakroom-tls-')
    @ca_key = OpenSSL::PKey::EC.generate('prime256v1')
    @ca = certificate('/CN=Test authority', @ca_key, 'basicConstraints' => 'CA:TRUE', 'keyUsage' => 'keyCertSign')
    write('ca.crt', @ca)
    issue('service', 'DNS:localhost, IP:127.0.0.1', 'serverAuth')
    issue('other', 'DNS:elsewhere.example', 'serverAuth')
    issue('caller', 'DNS:shop.example', 'clientAuth')
  end

  def path(name)
    File.join(folder, name)
  end

  private

  def issue(name, alternatives, usage)
    key = OpenSSL::PKey::EC.generate('prime256v1')
    issued = certificate("/CN=#{name}", key, 'subjectAltName' => alternatives, 'extendedKeyUsage' => usage)
    write("#{name}.crt", issued)
    File.write(path("#{name}.key"), OpenSSL::PKey.read(key.to_der).private_to_pem)
  end

  def certificate(subject, key, extensions)
    made = OpenSSL::X509::Certificate.new
    made.version = 2
    made.serial = OpenSSL::BN.rand(64)
    made.subject = OpenSSL::X509::Name.parse(subject)
    made.issuer = @ca&.subject || made.subject
    made.public_key = key
    made.not_before = Time.now - 3600
    made.not_after = Time.now + 86_400
    factory = OpenSSL::X509::ExtensionFactory.new(@ca || made, made)
    extensions.each { |name, value| made.add_extension(factory.create_extension(name, value, name == 'basicConstraints')) }
    made.sign(@ca_key, 'SHA256')
  end

  def write(name, certificate)
    File.write(path(name), certificate.to_pem)
  end
end
