# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = 'rack-session-cloakroom'
  spec.version = '0.1.0'
  spec.summary = 'A store for the sessions of Rack and Rails that keeps them in Cloakroom'
  spec.authors = ['The Cloakroom authors']
  spec.licenses = ['MIT', 'Apache-2.0']
  spec.files = Dir.glob(['lib/**/*.rb', '*.md'], base: __dir__).sort
  spec.require_paths = ['lib']
  spec.required_ruby_version = '>= 3.0'
  # With Rack 3, the gem rack-session has to be there as well. It is not named here because Rack 2 has its sessions itself.
  spec.add_dependency 'rack', '>= 2.2', '< 4'
end
