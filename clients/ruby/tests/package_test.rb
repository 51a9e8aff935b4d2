# frozen_string_literal: true

require 'minitest/autorun'
require 'open3'
require 'tmpdir'

# The gem, as a project gets it.
class PackageTest < Minitest::Test
  ROOT = File.expand_path('..', __dir__)

  def test_the_gem_is_built_and_works_where_it_is_installed
    Dir.mktmpdir do |folder|
      gem = File.join(folder, 'rack-session-cloakroom.gem')
      run!('gem', 'build', 'rack-session-cloakroom.gemspec', '--output', gem, chdir: ROOT)
      run!('gem', 'install', '--local', '--ignore-dependencies', '--no-document', '--install-dir', folder, gem)

      used = 'require "rack-session-cloakroom"; print $LOADED_FEATURES.grep(/persistence/), Rack::Session::Cloakroom.new(nil).inspect'
      printed = run!({ 'GEM_PATH' => "#{folder}:#{Gem.default_path.join(':')}" }, 'ruby', '-w', '-e', used)

      assert_includes printed, "#{folder}/gems/"
      assert_includes printed, '#<Rack::Session::Cloakroom '
    end
  end

  private

  def run!(*command, **options)
    printed, status = Open3.capture2e(*command, **options)
    assert status.success?, printed
    printed
  end
end
