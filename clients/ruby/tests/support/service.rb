# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'net/http'
require 'open3'
require 'tmpdir'
require_relative 'processes'

# The service, as a process of its own.
class Service
  ROOT = File.expand_path('../../../..', __dir__)
  attr_reader :port, :admin_port, :folder

  # `store` is the kind of its store, `level` that of its log, and `more` has more tables of its settings.
  def initialize(store: 'embedded', level: 'debug', more: '')
    @folder = Dir.mktmpdir('cloakroom-ruby-')
    @store = store
    @level = level
    @more = more
    configure
    launch
  end

  def address
    "127.0.0.1:#{port}"
  end

  def socket
    "unix:#{folder}/c.sock"
  end

  # Starts the process, also after `stop`. It has its sessions again.
  def launch
    env = { 'CLOAKROOM__LOG__LEVEL' => @level }
    output = [File.join(folder, 'service.log'), 'a']
    @pid = Processes.started([env, binary, 'serve', '--config', config], port, out: output, err: output)
  end

  def stop(signal = 'TERM')
    Processes.stop(@pid, signal)
  end

  def signal(name)
    Process.kill(name, @pid)
  end

  # Stops it for good.
  def remove
    stop('KILL')
    FileUtils.remove_entry(folder)
  end

  def log
    File.read(File.join(folder, 'service.log'), encoding: 'BINARY')
  end

  # Runs `cloakroom sessions`, and returns what it prints.
  def sessions(*arguments)
    admin = ['--address', "127.0.0.1:#{admin_port}", '--json']
    printed, status = Open3.capture2(binary, 'sessions', *admin, *arguments)
    raise "cloakroom sessions #{arguments.join(' ')} failed" unless status.success?

    printed.lines.map { |line| JSON.parse(line) }
  end

  # Returns how many calls of an RPC have ended well.
  def calls(rpc)
    sample = /\Acloakroom_calls_total\{rpc="cloakroom\.v1\.SessionService\/#{rpc}",.*code="OK".* (\d+)$/
    Net::HTTP.get('127.0.0.1', '/metrics', admin_port).lines.sum { |line| line[sample, 1].to_i }
  end

  private

  def config
    File.join(folder, 'cloakroom.toml')
  end

  def configure
    @port = Processes.free_port
    @admin_port = Processes.free_port
    File.write(config, <<~TOML)
      [server]
      listen = "#{address}"
      unix_socket = "#{folder}/c.sock"
      [admin]
      listen = "127.0.0.1:#{admin_port}"
      [store]
      kind = "#{@store}"
      [store.embedded]
      path = "#{folder}/data"
      [apps.shop]
      kind = "external"
      subject_key = "user_id"
      #{@more}
    TOML
  end

  # The program that CLOAKROOM_BIN names, or else the one that was built last.
  def binary
    built = %w[dist release debug].map { |profile| File.join(ROOT, 'target', profile, 'cloakroom') }
    newest = built.select { |file| File.exist?(file) }.max_by { |file| File.mtime(file) }
    found = ENV['CLOAKROOM_BIN'] || newest || raise('build the service first (cargo build), or name it by CLOAKROOM_BIN')
    File.expand_path(found, ROOT)
  end
end
