"""Package set-up.

``configs/`` and ``tools/`` travel inside the wheel as ``bissl_mm/.mim``, the
place where OpenMMLab's ``mim`` looks for them.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools')

VERSION = {}
exec((ROOT / 'bissl_mm' / 'version.py').read_text(), VERSION)


class BuildWithConfigs(build_py):
    """Copies configs and tools into the package that is built."""

    def run(self) -> None:
        super().run()
        if getattr(self, 'editable_mode', False):
            return
        for folder in SHIPPED:
            target = Path(self.build_lib) / 'bissl_mm' / '.mim' / folder
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(
                ROOT / folder, target, ignore=shutil.ignore_patterns('__pycache__')
            )


setup(
    name='bissl_mm',
    version=VERSION['__version__'],
    description='Bilevel self-supervised alignment of pretrained backbones '
    'for the OpenMMLab libraries',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    author='the bissl_mm authors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    project_urls={'Paper': 'https://arxiv.org/abs/2410.02387'},
    keywords=[
        'bilevel optimization',
        'self-supervised learning',
        'fine-tuning',
        'transfer learning',
        'computer vision',
        'OpenMMLab',
        'PyTorch',
    ],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=('bissl_mm', 'bissl_mm.*')),
    package_data={
        'bissl_mm.analysis': ['templates/*.html'],
        'bissl_mm.experiments.report': ['*.yaml'],
        'bissl_mm.prepare': ['*.json'],
    },
    python_requires='>=3.10',
    # torch, mmcv and the OpenMMLab libraries are left to the user's own
    # environment: mmcv must match the torch that it was compiled with.
    # Jinja2, which torch brings along, makes the demo's report.
    install_requires=[
        'jinja2>=3',
        'numpy',
        'pillow',
        'safetensors',
        'scipy>=1.10',
        'tqdm',
    ],
    extras_require={
        # Ranges: the tested versions are pinned in requirements/ alone.
        'openmmlab': [
            'torch>=2.1',
            'torchvision>=0.16',
            'onedl-mmengine>=0.10',
            'onedl-mmcv>=2.3',
            'onedl-mmdetection>=3.5',
            'onedl-mmsegmentation>=1.4',
            'onedl-mmpretrain>=1.3',
        ],
        'demo': ['matplotlib', 'pillow>=10.1', 'scikit-image', 'scikit-learn'],
        # GPT and GLUE (docs/text.md). Not transformers: its release 5 keeps
        # mmpretrain from being imported.
        'text': ['scikit-learn', 'tokenizers>=0.15'],
        'tests': [
            # A second opinion on products; its test is skipped without it.
            'curvlinops-for-pytorch>=3',
            'matplotlib',
            # From 9.2 on pytest-xdist 3.8 does not keep a group together, in silence.
            'pytest<9.2',
            'pytest-xdist',
            'scikit-learn',
            # Without it the tests of texts are skipped.
            'tokenizers>=0.15',
        ],
    },
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
